def initialise_from_teacher(student, teacher):
    raise NotImplementedError
