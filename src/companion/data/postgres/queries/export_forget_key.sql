-- An export that is over takes its key no longer, even where the job that says so has not come by yet.
UPDATE export_jobs SET once = NULL
WHERE once = $1 AND (status IN ('failed', 'cancelled', 'expired') OR (status = 'done' AND expires_at <= now()))
