"""Models behind the OpenAI protocol: one process holds a model, any client talks to it.

`workers` starts such processes and has no torch in it; the rest runs inside them.
"""
