-- The reference system's tables that the events of the bench reach, with their keys and indexes.
CREATE TABLE users (did varchar(255) PRIMARY KEY, handle varchar(255) NOT NULL, display_name varchar(255),
    description text, profile_record jsonb, created_at timestamp DEFAULT now() NOT NULL, indexed_at timestamp DEFAULT now() NOT NULL);
CREATE INDEX ON users (handle);
CREATE TABLE user_settings (user_did varchar(255) PRIMARY KEY, data_collection_forbidden bool DEFAULT false NOT NULL);
CREATE TABLE posts (uri varchar(512) PRIMARY KEY, cid varchar(255) NOT NULL, author_did varchar(255) NOT NULL, text text NOT NULL,
    parent_uri varchar(512), root_uri varchar(512), embed jsonb, facets jsonb, tags jsonb DEFAULT '[]' NOT NULL,
    created_at timestamp NOT NULL, indexed_at timestamp DEFAULT now() NOT NULL);
CREATE INDEX ON posts (author_did); CREATE INDEX ON posts (indexed_at); CREATE INDEX ON posts (parent_uri); CREATE INDEX ON posts (root_uri);
CREATE TABLE feed_items (uri varchar(512) PRIMARY KEY, post_uri varchar(512) NOT NULL, originator_did varchar(255) NOT NULL,
    type varchar(32) NOT NULL, sort_at timestamp NOT NULL, cid varchar(255) NOT NULL, created_at timestamp NOT NULL);
CREATE INDEX ON feed_items (post_uri); CREATE INDEX ON feed_items (originator_did); CREATE INDEX ON feed_items (type);
CREATE INDEX ON feed_items (sort_at); CREATE INDEX ON feed_items (created_at);
CREATE TABLE post_aggregations (post_uri varchar(512) PRIMARY KEY, like_count int DEFAULT 0 NOT NULL, repost_count int DEFAULT 0 NOT NULL,
    reply_count int DEFAULT 0 NOT NULL, bookmark_count int DEFAULT 0 NOT NULL, quote_count int DEFAULT 0 NOT NULL);
CREATE INDEX ON post_aggregations (like_count); CREATE INDEX ON post_aggregations (repost_count);
CREATE INDEX ON post_aggregations (reply_count); CREATE INDEX ON post_aggregations (quote_count);
CREATE TABLE post_viewer_states (post_uri varchar(512) NOT NULL, viewer_did varchar(255) NOT NULL, like_uri varchar(512),
    repost_uri varchar(512), UNIQUE (post_uri, viewer_did));
CREATE TABLE likes (uri varchar(512) PRIMARY KEY, user_did varchar(255) NOT NULL, post_uri varchar(512) NOT NULL,
    created_at timestamp NOT NULL, indexed_at timestamp DEFAULT now() NOT NULL, UNIQUE (user_did, post_uri));
CREATE TABLE reposts (LIKE likes INCLUDING ALL);
CREATE TABLE follows (uri varchar(512) PRIMARY KEY, follower_did varchar(255) NOT NULL, following_did varchar(255) NOT NULL,
    created_at timestamp NOT NULL, indexed_at timestamp DEFAULT now() NOT NULL, UNIQUE (follower_did, following_did));
CREATE TABLE blocks (LIKE follows INCLUDING ALL);
CREATE TABLE notifications (id serial PRIMARY KEY, uri varchar(512) NOT NULL UNIQUE, recipient_did varchar(255) NOT NULL,
    author_did varchar(255) NOT NULL, reason varchar(64) NOT NULL, reason_subject varchar(512), created_at timestamp NOT NULL);
CREATE TABLE generic_records (uri varchar(512) PRIMARY KEY, cid varchar(255) NOT NULL, author_did varchar(255) NOT NULL,
    record_type varchar(255) NOT NULL, record jsonb NOT NULL, created_at timestamp NOT NULL);
