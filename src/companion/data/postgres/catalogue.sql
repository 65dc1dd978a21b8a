-- Named questions of an application and of the companion: what the indexes are for. Tests run each through EXPLAIN.
-- :o organisation, :s its short name, :u user, :n their name for logging in, :e e-mail address, :k hash of a key, :c content, :l lesson, :cl class.
-- M1 users one-pass (total, active d/w, growth, by role)
select role,count(*),count(*) filter (where last_login_at>=(select date_trunc('day',now()))),count(*) filter (where last_login_at>=(select now()-interval '7 days')),count(*) filter (where created_at>=(select now()-interval '30 days')),count(*) filter (where created_at>=(select now()-interval '60 days') and created_at<(select now()-interval '30 days')) from users where organization_id=:o and deleted_at is null group by role;
-- M2 content by status
select status,count(*) from educational_content where organization_id=:o and deleted_at is null group by status;
-- M3 sessions today+week, avg duration, distinct users 7d
select count(*) filter (where started_at>=date_trunc('day',now())),count(*),avg(duration_seconds),count(distinct user_id) from user_sessions where organization_id=:o and started_at>=now()-interval '7 days';
-- M4 lessons completed 30d, avg score
select count(*),avg(score),count(distinct user_id) from lesson_progress where organization_id=:o and completed_at>=now()-interval '30 days';
-- A1 activity feed, newest 50 + user name
select a.id,a.activity_type,a.summary,a.created_at,u.first_name,u.last_name from activity_log a left join users u on u.id=a.user_id where a.organization_id=:o order by a.created_at desc,a.id desc limit 50;
-- A2 feed of one common type, 50
select a.id,a.summary,a.created_at,u.first_name from activity_log a left join users u on u.id=a.user_id where a.organization_id=:o and a.activity_type='login' order by a.created_at desc,a.id desc limit 50;
-- A3 feed of one rare type, 50
select a.id,a.summary,a.created_at,u.first_name from activity_log a left join users u on u.id=a.user_id where a.organization_id=:o and a.activity_type='settings_changed' order by a.created_at desc,a.id desc limit 50;
-- A4 keyset page (200 d back), 50
select id,summary,created_at from activity_log where organization_id=:o and (created_at,id)<(now()-interval '200 days',350000) order by created_at desc,id desc limit 50;
-- A5 OFFSET 5000 page, 50
select id,summary,created_at from activity_log where organization_id=:o order by created_at desc,id desc limit 50 offset 5000;
-- S1 user growth per day, 90 d
select date_trunc('day',created_at) d,count(*) from users where organization_id=:o and deleted_at is null and created_at>=now()-interval '90 days' group by 1 order by 1;
-- S2 content created per day by status, 90 d
select date_trunc('day',created_at) d,status,count(*) from educational_content where organization_id=:o and deleted_at is null and created_at>=now()-interval '90 days' group by 1,2 order by 1,2;
-- S3 engagement per day (sessions, DAU, avg s), 90 d
select date_trunc('day',started_at) d,count(*),count(distinct user_id),avg(duration_seconds) from user_sessions where organization_id=:o and started_at>=now()-interval '90 days' group by 1 order by 1;
-- S3b engagement per day, 365 d
select date_trunc('day',started_at) d,count(*),count(distinct user_id),avg(duration_seconds) from user_sessions where organization_id=:o and started_at>=now()-interval '365 days' group by 1 order by 1;
-- S4 roll-up table, 90 d (PK only)
select * from metrics_daily where organization_id=:o and day>=current_date-90 order by day;
-- S4b roll-up table, 365 d (PK only)
select * from metrics_daily where organization_id=:o and day>=current_date-365 order by day;
-- L1 content listing status+newest 20
select id,title,created_at from educational_content where organization_id=:o and status='published' and deleted_at is null order by created_at desc limit 20;
-- L2 full-text search, 20
select id,title from educational_content where organization_id=:o and deleted_at is null and to_tsvector('english',title||' '||description) @@ websearch_to_tsquery('english','photosynthesis volcano') order by created_at desc limit 20;
-- L3 user name contains, 20
select id,first_name,last_name from users where organization_id=:o and deleted_at is null and lower(first_name||' '||last_name) like '%hana9 %' limit 20;
-- L4 login lookup lower(email)
select id from users where lower(email)=:e and deleted_at is null;
-- L5 API key by hash
select id,organization_id,user_id from api_keys where key_hash=:k;
-- L6 lessons of one content
select id,title from lessons where content_id=:c and deleted_at is null order by position;
-- L7 progress of one lesson
select user_id,status,score from lesson_progress where lesson_id=:l;
-- L8 history of one user, newest 50
select id,activity_type,created_at from activity_log where user_id=:u order by created_at desc limit 50;
-- L9 class roster
select u.id,u.first_name from enrollments e join users u on u.id=e.user_id where e.class_id=:cl and e.status='active';
-- L10 users idle > 30 d, 50
select id,email,last_login_at from users where organization_id=:o and deleted_at is null and last_login_at<now()-interval '30 days' order by last_login_at desc limit 50;
-- T1 top 10 lessons by completions 30 d
select t.lesson_id,l.title,t.n from (select lesson_id,count(*) n from lesson_progress where organization_id=:o and completed_at>=now()-interval '30 days' group by 1 order by n desc limit 10) t join lessons l on l.id=t.lesson_id order by t.n desc;
-- X1 export chunk users keyset 1000
select id,email,role,status,created_at,last_login_at from users where organization_id=:o and deleted_at is null order by created_at desc,id limit 1000;
-- J1 claim queued export (skip locked)
select id from export_jobs where status in ('queued','running') and request is not null and tries<3 and not cancel_requested order by created_at limit 1 for update skip locked;
-- J2 close stale sessions (select)
select id from user_sessions where ended_at is null and last_seen_at<now()-interval '30 minutes' limit 1000;
-- U1 members of one role, newest
select id,first_name from users where organization_id=:o and role='admin' and deleted_at is null order by created_at desc limit 20;
-- U2 platform: sign-ups last 24h (all tenants)
select count(*) from users where created_at>=now()-interval '1 day';
-- U3 platform: content last 24h
select count(*) from educational_content where created_at>=now()-interval '1 day';
-- U4 retention: activity older than 395 d
select count(*) from activity_log where created_at<now()-interval '399 days';
-- U5 retention: sessions older than 399 d
select count(*) from user_sessions where started_at<now()-interval '399 days';
-- U6 pending invitations older than 7 d (oldest 100)
select id from users where status='invited' and deleted_at is null and created_at<now()-interval '7 days' order by created_at limit 100;
-- U7 keys expiring in 7 d
select id from api_keys where status='active' and deleted_at is null and expires_at<now()+interval '7 days';
-- U8 keys list of tenant
select id,name from api_keys where organization_id=:o and deleted_at is null and status='active' order by created_at desc limit 50;
-- U9 review queue
select id from educational_content where organization_id=:o and status='review' and deleted_at is null order by created_at limit 20;
-- U10 not-active organisations
select id from organizations where deleted_at is null and status<>'active' and status='suspended';
-- U11 export list
select id,status from export_jobs where organization_id=:o order by created_at desc limit 20;
-- U12 exports to expire
select id from export_jobs where status='done' and expires_at<=now();
-- U13 online now
select count(distinct user_id) from user_sessions where organization_id=:o and ended_at is null and last_seen_at>=now()-interval '5 minutes';
-- U14 classes by status
select status,count(*) from classes where organization_id=:o and deleted_at is null group by status;
-- U15 enrolments by status
select status,count(*) from enrollments where organization_id=:o group by status;
-- U16 content by type
select content_type,count(*) from educational_content where organization_id=:o and deleted_at is null group by content_type;
-- U16b listing by type
select id,title from educational_content where organization_id=:o and content_type='video' and deleted_at is null order by created_at desc limit 20;
-- U17 lessons by status
select status,count(*) from lessons where organization_id=:o and deleted_at is null group by status;
-- U18 classes of a teacher
select id from classes where teacher_id=(select teacher_id from classes where id=:cl);
-- U19 enrolments of a user
select class_id from enrollments where user_id=:u and status='active';
-- U20 content of an author
select id from educational_content where author_id=(select author_id from educational_content where id=:c) order by created_at desc limit 20;
-- U21 lessons of a class
select id from lessons where class_id=:cl order by position limit 20;
-- U22 progress of a user
select lesson_id,status from lesson_progress where user_id=:u order by started_at desc limit 20;
-- U23 sessions of a user
select started_at from user_sessions where user_id=:u order by started_at desc limit 20;
-- U24 keys of a user
select id from api_keys where user_id=:u;
-- U25 exports of a user
select id from export_jobs where requested_by=:u;
-- U26 lesson search
select id,title from lessons where organization_id=:o and deleted_at is null and to_tsvector('english',title||' '||description) @@ websearch_to_tsquery('english','genome fossil') limit 20;
-- U27 class name search
select id from classes where organization_id=:o and deleted_at is null and lower(name) like '%s 299%' limit 20;
-- U28 username taken?
select 1 from users where organization_id=:o and lower(username)=:n and deleted_at is null;
-- U29 tenant by slug
select id from organizations where lower(slug)=:s and deleted_at is null;
-- U30 already enrolled?
select 1 from enrollments where class_id=:cl and user_id=:u;
-- U31 purge users
select id from users where deleted_at is not null and deleted_at<now()-interval '90 days' limit 500;
-- U32 purge content
select id from educational_content where deleted_at is not null and deleted_at<now()-interval '90 days' limit 500;
-- U33 purge lessons
select id from lessons where deleted_at is not null and deleted_at<now()-interval '90 days' limit 500;
-- U34 purge classes
select id from classes where deleted_at is not null and deleted_at<now()-interval '90 days' limit 500;
-- U35 purge keys
select id from api_keys where deleted_at is not null and deleted_at<now()-interval '90 days' limit 500;
