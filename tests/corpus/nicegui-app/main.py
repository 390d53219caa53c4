from nicegui import ui

ui.label("Greenhouse: 21 °C")
ui.run(title="Greenhouse", port=8080, show=False, reload=False)
