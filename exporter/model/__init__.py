"""What travels between the rooms: rows of licence data, their values, and the states that people look at."""
