"""When polls happen, what one does, and who looks after the threads that do them."""
