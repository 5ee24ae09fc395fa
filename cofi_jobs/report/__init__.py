"""Report: one self-contained page about a run, for people: what came in, how good the model is, what it recommends.

It is made for every run that has normalized ratings, as far as the run came: most of all one that the gate refused.
The page is not part of what is published: it can be made again at any time, from the run's tables and outcomes.
Each module of this package has one subject:

    write.py                     the task: which sections there are, and what they need
    night.py, section.py         what a section is made from, and of
    intake.py, training.py, ratings.py, quality.py, activity.py, coverage.py, item_map.py, examples.py, configuration.py
                                 the sections
    plots.py, drawing.py         plots, and how they become SVG for a page
    page.py, template.py         sections -> HTML
    overview.py, pages.py        all runs at a glance; both over HTTP, for Airflow
"""
