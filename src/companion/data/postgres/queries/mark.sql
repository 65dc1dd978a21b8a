SELECT day::text AS day FROM companion_marks WHERE name = $1
