SELECT count(*) AS completed, avg(score) AS average
FROM lesson_progress
WHERE organization_id = ?1 AND completed_at >= ?2
