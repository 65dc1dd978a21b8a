SELECT (extract(epoch FROM min(created_at)) * 1000000)::bigint AS made_us FROM organizations
