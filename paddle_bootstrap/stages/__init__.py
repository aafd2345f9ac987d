"""The way of the data, composed: what the user asked for -> plan -> wheels -> target -> results.

Each stage is a function that takes what the one before returned; the verbs of the command line are these calls in a row.
"""
