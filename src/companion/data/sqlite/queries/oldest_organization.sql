SELECT min(created_at) AS made_us FROM organizations
