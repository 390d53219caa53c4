from bot.core.loop import run
run()
