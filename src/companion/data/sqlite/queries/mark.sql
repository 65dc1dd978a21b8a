SELECT day FROM companion_marks WHERE name = ?1
