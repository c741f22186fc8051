from tests.exercises.wrong.wrong_answer import Wrong

WRONG: list[Wrong] = []
