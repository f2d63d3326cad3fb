"""Learning: labelled questions and text in, better question vectors and towers out."""
