TEXT = b"catalogue"
