bind = "unix:/tmp/letters.sock"
