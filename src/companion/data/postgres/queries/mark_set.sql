INSERT INTO companion_marks (name, day) VALUES ($1, $2::date)
ON CONFLICT (name) DO UPDATE SET day = excluded.day
