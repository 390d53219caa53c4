import "./main.css";

document.getElementById("script").textContent = "webpack";
