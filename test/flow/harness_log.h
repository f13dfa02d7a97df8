/* What the log says while a test looks. Threading: the test's thread. */
#ifndef FLOW_HARNESS_LOG_H
#define FLOW_HARNESS_LOG_H

/* From here to harness_captured_log(), which returns it (static), stderr goes into a file. */
void harness_capture_log(void);
const char *harness_captured_log(void);
/* For the end of a test that failed in between: shows what was captured, the reason of the failure among it. */
void harness_release_log(void);
/* How often `word` is in `text`. */
unsigned harness_count(const char *text, const char *word);

#endif
