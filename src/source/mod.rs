//! What is in a Python file: outlines, symbols, spans.
