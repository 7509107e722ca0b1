"""Course units: predict, run, explain, hand in, grade (docs/courses.md)."""
