"""
The history file's tables, as a list of migrations.

Each migration is a tuple of SQL statements that brings the file from its index to the next version; it is run in one
transaction together with the version's own record (`PRAGMA user_version`). Only ever append.
"""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE rounds (
            id INTEGER PRIMARY KEY,
            started REAL NOT NULL,           -- seconds since the epoch
            finished REAL NOT NULL,
            remotes INTEGER NOT NULL,
            troubles TEXT NOT NULL           -- JSON list of sentences about the round itself
        )
        """,
        """
        CREATE TABLE subjects (
            id INTEGER PRIMARY KEY,
            kind TEXT NOT NULL,              -- remote or proxy
            name TEXT NOT NULL,
            first_seen TEXT NOT NULL,        -- RFC 3339, UTC, as every time below
            gone_since TEXT,                 -- no longer in the inventory
            state TEXT NOT NULL,             -- JSON: State
            reading TEXT,                    -- JSON: CheckResult, of the last round only
            UNIQUE (kind, name)
        )
        """,
        """
        CREATE TABLE transitions (
            id INTEGER PRIMARY KEY,
            round_id INTEGER NOT NULL,
            subject_id INTEGER NOT NULL REFERENCES subjects (id) ON DELETE CASCADE,
            stage TEXT NOT NULL,             -- seen, or confirmed (people may be notified)
            at TEXT NOT NULL,
            before TEXT,
            after TEXT NOT NULL,
            cause TEXT, message TEXT, hint TEXT, detail TEXT,
            lasted_since TEXT
        )
        """,
        "CREATE INDEX transitions_by_time ON transitions (stage, at)",
        "CREATE INDEX transitions_by_subject ON transitions (subject_id, stage, id)",
        """
        CREATE TABLE days (
            subject_id INTEGER NOT NULL REFERENCES subjects (id) ON DELETE CASCADE,
            day TEXT NOT NULL,               -- a UTC day; the rest are seconds of it
            up REAL NOT NULL, degraded REAL NOT NULL, down REAL NOT NULL, unknown REAL NOT NULL,
            maintenance REAL NOT NULL,
            PRIMARY KEY (subject_id, day)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE samples (
            subject_id INTEGER NOT NULL REFERENCES subjects (id) ON DELETE CASCADE,
            at TEXT NOT NULL,
            connect_ms INTEGER NOT NULL,
            PRIMARY KEY (subject_id, at)
        ) WITHOUT ROWID
        """,
    ),
    (
        """
        CREATE TABLE destinations (
            key TEXT PRIMARY KEY,            -- a name or a hash; never the URL
            name TEXT NOT NULL,              -- as people may read it
            attempts INTEGER NOT NULL,       -- failed in a row
            failing_since TEXT,
            next_attempt TEXT,
            error TEXT,                      -- without secrets
            permanent INTEGER NOT NULL,      -- it looks as if trying again will not help
            others_told_at TEXT              -- when the others were notified that it fails
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE messages (
            id INTEGER PRIMARY KEY,
            destination TEXT NOT NULL,
            destination_name TEXT NOT NULL,
            at TEXT NOT NULL,                -- when it happened
            tone TEXT NOT NULL,              -- failure, warning, info or success, as services colour it
            subject TEXT NOT NULL,
            text TEXT NOT NULL,              -- emptied some days after it was sent, as is html
            html TEXT NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0,
            sent_at TEXT,                    -- when the service took it
            dropped TEXT                     -- why it will never be sent
        )
        """,
        "CREATE INDEX messages_waiting ON messages (destination, id) WHERE sent_at IS NULL AND dropped IS NULL",
        """
        CREATE TABLE mentions (
            message_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
            kind TEXT NOT NULL,
            name TEXT NOT NULL,
            what TEXT NOT NULL,              -- problem, recovered, reminder, ...
            PRIMARY KEY (kind, name, message_id)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE told (
            destination TEXT NOT NULL,
            kind TEXT NOT NULL,
            name TEXT NOT NULL,
            told TEXT NOT NULL,              -- JSON: NotificationState
            PRIMARY KEY (destination, kind, name)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE decisions (
            id INTEGER PRIMARY KEY,
            kind TEXT NOT NULL,
            name TEXT NOT NULL,
            destination_name TEXT NOT NULL,  -- empty: it holds for all
            told INTEGER NOT NULL,
            reason TEXT NOT NULL,
            first_at TEXT NOT NULL,          -- the same decision is kept once, with its first and last time
            last_at TEXT NOT NULL
        )
        """,
        "CREATE INDEX decisions_by_subject ON decisions (kind, name, id)",
        """
        CREATE TABLE acknowledgements (
            kind TEXT NOT NULL,
            name TEXT NOT NULL,
            at TEXT NOT NULL,
            until TEXT,
            note TEXT NOT NULL,
            PRIMARY KEY (kind, name)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE windows (
            id INTEGER PRIMARY KEY,
            target TEXT NOT NULL,            -- a remote, a proxy, a group, or all
            starts TEXT NOT NULL,
            until TEXT NOT NULL,
            note TEXT NOT NULL
        )
        """,
    ),
    (
        # How often the service refused this message itself, whatever else it takes.
        "ALTER TABLE messages ADD COLUMN refused INTEGER NOT NULL DEFAULT 0",
    ),
    (
        # The subject without the fleet's title; empty in messages of older versions.
        "ALTER TABLE messages ADD COLUMN headline TEXT NOT NULL DEFAULT ''",
    ),
    (
        """
        CREATE TABLE IF NOT EXISTS receivers (
            key TEXT PRIMARY KEY,            -- as in destinations: those that were configured in the last round
            name TEXT NOT NULL,
            identity TEXT NOT NULL           -- a hash of its address without secrets
        ) WITHOUT ROWID
        """,
    ),
    (
        # The check result whose measurements the page shows, and when it was made: renewed once an hour while it is up.
        "ALTER TABLE subjects ADD COLUMN measured TEXT",
        "ALTER TABLE subjects ADD COLUMN measured_at TEXT",
        """
        CREATE TABLE notes (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL,              -- a remote or proxy; empty: all
            text TEXT NOT NULL,
            at TEXT NOT NULL,
            until TEXT
        )
        """,
    ),
    (
        "CREATE TABLE IF NOT EXISTS answer_key (id INTEGER PRIMARY KEY, key BLOB NOT NULL)",
        """
        CREATE TABLE IF NOT EXISTS answer_codes (
            id INTEGER PRIMARY KEY,
            destination TEXT NOT NULL,
            subjects TEXT NOT NULL,          -- JSON: what the message is about
            expires TEXT NOT NULL,
            used INTEGER NOT NULL DEFAULT 0
        )
        """,
        """
        CREATE TABLE IF NOT EXISTS answer_sources (
            key TEXT PRIMARY KEY,            -- a hash of its address without secrets
            position TEXT NOT NULL           -- how far it was read
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE IF NOT EXISTS answers_refused (
            why TEXT PRIMARY KEY,
            number INTEGER NOT NULL,
            last_at TEXT NOT NULL
        ) WITHOUT ROWID
        """,
    ),
    (
        """
        CREATE TABLE IF NOT EXISTS ranges (
            subject_id INTEGER NOT NULL REFERENCES subjects (id) ON DELETE CASCADE,
            measure TEXT NOT NULL,           -- what is measured: disk /, memory, temperature, clock, log-in
            day TEXT NOT NULL,               -- a UTC day
            low REAL NOT NULL, high REAL NOT NULL,
            PRIMARY KEY (subject_id, measure, day)
        ) WITHOUT ROWID
        """,
    ),
    (
        """
        CREATE TABLE IF NOT EXISTS regular_report (
            id INTEGER PRIMARY KEY,          -- always 1
            at TEXT NOT NULL                 -- when it was made last, or first asked for
        )
        """,
    ),
    (
        """
        CREATE TABLE IF NOT EXISTS regular_report_pages (
            site TEXT PRIMARY KEY,           -- the folder of the page as the inventory names it; empty: the first page
            names TEXT NOT NULL,             -- JSON: the remotes and proxies that the report is about
            report TEXT NOT NULL             -- JSON: the last report
        ) WITHOUT ROWID
        """,
    ),
)
