GREETING = "hello from the core"
