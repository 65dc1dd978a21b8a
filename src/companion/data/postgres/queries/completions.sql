SELECT count(*) AS completed, avg(score)::float8 AS average
FROM lesson_progress
WHERE organization_id = $1::uuid AND completed_at >= to_timestamp($2 / 1000000.0)
