"""Vector databases behind one protocol, and what is stored in them."""
