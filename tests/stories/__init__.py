"""Stories of all rules: on samples (`ON_THE_ROAD`), and on days and trips (`OF_DAYS`)."""

from stories import driving, engine, harsh, past, positions, sensors, supply

ON_THE_ROAD = [
    *engine.STORIES, *driving.STORIES, *supply.STORIES, *harsh.STORIES, *positions.STORIES,
    *sensors.STORIES,
]  # fmt: skip
OF_DAYS = past.STORIES
