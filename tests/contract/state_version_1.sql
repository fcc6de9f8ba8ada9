BEGIN TRANSACTION;
CREATE TABLE changes (
	firm TEXT NOT NULL,
	matter_id BIGINT NOT NULL,
	closed_on TEXT NOT NULL,
	run INTEGER NOT NULL,
	position INTEGER NOT NULL,
	at INTEGER NOT NULL,
	from_state TEXT,
	to_state TEXT NOT NULL,
	reason TEXT,
	code TEXT,
	PRIMARY KEY (firm, matter_id, closed_on, run, position),
	FOREIGN KEY(firm, matter_id, closed_on) REFERENCES closings (firm, matter_id, closed_on) ON UPDATE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "changes" VALUES('default',1,'2026-11-18',1,1,1795197600,NULL,'pending',NULL,NULL);
INSERT INTO "changes" VALUES('default',1,'2026-11-18',1,4,1795197600,'pending','sending',NULL,NULL);
INSERT INTO "changes" VALUES('default',1,'2026-11-18',1,5,1795197600,'sending','sent',NULL,NULL);
INSERT INTO "changes" VALUES('default',2,'2026-11-18',1,2,1795197600,NULL,'pending',NULL,NULL);
INSERT INTO "changes" VALUES('default',3,'2026-11-18',1,3,1795197600,NULL,'pending',NULL,NULL);
CREATE TABLE closings (
	firm TEXT NOT NULL,
	matter_id BIGINT NOT NULL,
	closed_on TEXT NOT NULL,
	contact_id BIGINT,
	state TEXT NOT NULL,
	reason TEXT,
	command TEXT NOT NULL,
	rule TEXT NOT NULL,
	etag TEXT NOT NULL,
	noticed_at INTEGER NOT NULL,
	read_at INTEGER NOT NULL,
	read_in_run INTEGER NOT NULL,
	decided_in_run INTEGER NOT NULL,
	position INTEGER NOT NULL,
	marked INTEGER NOT NULL,
	resent INTEGER NOT NULL,
	approval INTEGER NOT NULL,
	tries INTEGER NOT NULL,
	claimed_at INTEGER,
	claimed_in_run INTEGER NOT NULL,
	changed_at INTEGER NOT NULL,
	PRIMARY KEY (firm, matter_id, closed_on)
);
INSERT INTO "closings" VALUES('default',1,'2026-11-18',1001,'sent',NULL,'sync','both','before',1795197600,1795197600,1,1,5,0,0,0,0,1795197600,1,1795197600);
INSERT INTO "closings" VALUES('default',2,'2026-11-18',1002,'pending',NULL,'sync','both','before',1795197600,1795197600,1,1,2,0,0,0,0,NULL,0,1795197600);
INSERT INTO "closings" VALUES('default',3,'2026-11-18',1003,'pending',NULL,'sync','both','before',1795197600,1795197600,1,1,3,0,0,0,0,NULL,0,1795197600);
CREATE TABLE facts (
	firm TEXT NOT NULL,
	name TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (firm, name)
)
 WITHOUT ROWID

;
INSERT INTO "facts" VALUES('default','broadly_url','https://broadly.test');
INSERT INTO "facts" VALUES('default','clio_account','7');
INSERT INTO "facts" VALUES('default','clio_host','https://app.clio.com');
INSERT INTO "facts" VALUES('default','first_run','2026-11-01T18:00:00+00:00');
INSERT INTO "facts" VALUES('default','hash_key','84bbe850ce06416b78a7a383d5fad04e11066372bbdd109aece31447b6819e08');
INSERT INTO "facts" VALUES('default','opt_in_field','22');
INSERT INTO "facts" VALUES('default','opt_out_field','11');
INSERT INTO "facts" VALUES('default','start_day','2026-11-01');
INSERT INTO "facts" VALUES('default','sync_rule','both');
INSERT INTO "facts" VALUES('default','watermark','2026-11-20T18:00:00+00:00');
CREATE TABLE people (
	firm TEXT NOT NULL,
	identity BLOB NOT NULL,
	matter_id BIGINT NOT NULL,
	closed_on TEXT NOT NULL,
	claimed_at INTEGER NOT NULL,
	PRIMARY KEY (firm, identity, matter_id, closed_on)
)
 WITHOUT ROWID

;
INSERT INTO "people" VALUES('default',X'2E45D357EE01827A4996387F93D26F79',1,'2026-11-18',1795197600);
INSERT INTO "people" VALUES('default',X'303F4408CC3DF1A165BF1100298BC174',1,'2026-11-18',1795197600);
CREATE TABLE runs (
	firm TEXT NOT NULL,
	run INTEGER NOT NULL,
	run_id TEXT NOT NULL,
	command TEXT NOT NULL,
	started_at INTEGER NOT NULL,
	finished_at INTEGER,
	exit_code INTEGER,
	PRIMARY KEY (firm, run)
)
 WITHOUT ROWID

;
INSERT INTO "runs" VALUES('default',1,'r1','sync',1795197600,1795197600,0);
CREATE TABLE schema_version (
	version INTEGER NOT NULL
);
INSERT INTO "schema_version" VALUES(1);
CREATE INDEX closings_sending ON closings (firm, state) WHERE state = 'sending';
CREATE INDEX closings_by_claim ON closings (firm, claimed_at);
CREATE INDEX closings_pending ON closings (firm, state, command, noticed_at, matter_id, closed_on) WHERE state = 'pending';
CREATE INDEX closings_marked ON closings (firm, marked) WHERE marked = 1;
CREATE INDEX closings_by_run ON closings (firm, decided_in_run);
COMMIT;
