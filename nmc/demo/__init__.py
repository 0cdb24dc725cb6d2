"""The model and the data that `nmc demo` compiles and runs."""
