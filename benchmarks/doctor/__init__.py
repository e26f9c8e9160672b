"""The doctor's scoreboard: faulty and healthy trainings, and how well each is told."""
