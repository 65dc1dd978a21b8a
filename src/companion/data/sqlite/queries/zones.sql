SELECT DISTINCT timezone FROM organizations ORDER BY timezone
