import streamlit as st

st.title("Weather")
st.write(f"Asked with a key of {len(st.secrets['WEATHER_KEY'])} characters.")
