"""When polls happen, what one does, and thread supervision."""
