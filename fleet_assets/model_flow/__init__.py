"""Models across lake and warehouse: training sets, trainings, comparisons, drift, daily refits.

What belongs here: the steps that read and write for the pure functions of `models` and
`model_choice`. What does not: Dagster, and anything that decides by numbers of its own.
"""
