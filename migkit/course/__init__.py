"""The course in ``notebooks/course``: checks that say what is wrong, predictions to commit to, grading.

Every expected answer is computed by migkit when it is needed.
"""

from migkit.course.feedback import Feedback
from migkit.course.lesson_checks import Lesson
from migkit.course.lessons import LESSONS, lesson

__all__ = ["LESSONS", "Feedback", "Lesson", "lesson"]
