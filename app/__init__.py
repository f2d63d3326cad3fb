"""The application: settings, services, answers, and the command line."""

from twotower.app.threads import limit_blas

limit_blas()  # before anything below imports NumPy
