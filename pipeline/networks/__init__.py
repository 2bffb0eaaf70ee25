"""Networks: spiking students, teachers, and their files."""

from pipeline.networks.sizes import NetworkSizes, student_sizes, teacher_sizes
from pipeline.networks.storage import export_teacher, load_student, load_teacher, save_student, save_teacher
from pipeline.networks.student import Student, StudentOutput, predict_spikes
from pipeline.networks.students import STUDENTS, build_student, check_student, list_students
from pipeline.networks.teacher import Teacher, TeacherOutput
from pipeline.networks.teachers import TEACHERS, build_teacher, check_teacher, list_teachers, teacher_sides

__all__ = [
    "STUDENTS",
    "TEACHERS",
    "NetworkSizes",
    "Student",
    "StudentOutput",
    "Teacher",
    "TeacherOutput",
    "build_student",
    "build_teacher",
    "check_student",
    "check_teacher",
    "export_teacher",
    "list_students",
    "list_teachers",
    "load_student",
    "load_teacher",
    "predict_spikes",
    "save_student",
    "save_teacher",
    "student_sizes",
    "teacher_sides",
    "teacher_sizes",
]
