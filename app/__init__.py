"""The application: settings, the command line, and what every way in shares."""

from app.threads import limit_blas

limit_blas()  # before anything below imports NumPy
