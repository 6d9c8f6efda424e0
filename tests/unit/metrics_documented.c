/* docs/metrics.md is written by hand: here it is compared with what is exported. */
#include <stdio.h>

#include "handlers/handler.h"
#include "server/memory.h"
#include "server/metrics.h"
#include "server/readiness.h"
#include "server/route.h"
#include "server/tracker.h"
#include "tests/support/exposition_parser.h"

static const char *const path = "docs/metrics.md"; /* from the root of the repository */

/* One of each: name, type and labels, as a row of the table has them. */
struct row {
    char name[NAME_MAX_];
    char type[16];
    char labels[128];
};

static struct row exported[FAMILIES_MAX];
static size_t exported_count;

/* A scrape in which every metric has a sample. */
static struct parsed scrape_all(void)
{
    struct route route = {.name = "/echo", .handler = &handler_echo};
    struct exposition text;
    struct tracker *tracker = tracker_new(10, 1);
    tracker_memory(tracker)->limit = 1;
    route.counts = tracker_add_route(tracker, route.name);
    ck_assert_ptr_nonnull(route.counts);
    route.counts->limit = 5;
    tracker_refused(route.counts, REFUSED_FULL);
    tracker_answered(route.counts, 503);
    tracker_mark(tracker);
    readiness_set(READINESS_STOPPING);
    metrics_init(tracker, &route, 1);
    ck_assert_int_eq(metrics_write(&text), 0);
    struct parsed parsed = parse_right(text.text, text.length);
    exposition_free(&text);
    tracker_free(tracker);
    return parsed;
}

static void read_exported(void)
{
    struct parsed parsed = scrape_all();
    for (size_t i = 0; i < parsed.family_count; i++) {
        struct row *row = &exported[i];
        const struct parsed_family *family = &parsed.families[i];
        snprintf(row->name, sizeof row->name, "%s", family->name);
        snprintf(row->type, sizeof row->type, "%s", family->type);
        const struct parsed_sample *sample = parsed.samples;
        while (sample < parsed.samples + parsed.sample_count && sample->family != i)
            sample++;
        ck_assert_msg(sample < parsed.samples + parsed.sample_count, "no sample of %s", row->name);
        for (size_t k = 0; k < sample->label_count; k++)
            if (strcmp(sample->labels[k].name, "le") != 0)
                snprintf(row->labels + strlen(row->labels),
                         sizeof row->labels - strlen(row->labels), "%s%s", k > 0 ? ", " : "",
                         sample->labels[k].name);
    }
    exported_count = parsed.family_count;
    parsed_free(&parsed);
}

/* Reads the next row whose first cell is a metric. Returns false at the end. */
static bool read_row(FILE *file, struct row *row)
{
    char line[1024];
    while (fgets(line, sizeof line, file) != NULL) {
        *row = (struct row){0};
        if (sscanf(line, "| `lastcall_%50[a-z_]` | %15[a-z] | %127[a-z, ]|", row->name, row->type,
                   row->labels) == 3)
            row->labels[strlen(row->labels) - 1] = '\0'; /* the blank before the bar */
        if (row->type[0] != '\0')
            return true;
    }
    return false;
}

START_TEST(every_metric_is_documented_with_its_type_and_labels_and_no_other_is)
{
    struct row row;
    size_t documented = 0;
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s cannot be read", path);
    read_exported();
    for (; read_row(file, &row); documented++) {
        struct row *same = exported;
        while (same < exported + exported_count &&
               strcmp(same->name + strlen("lastcall_"), row.name) != 0)
            same++;
        ck_assert_msg(same < exported + exported_count, "lastcall_%s is not exported", row.name);
        ck_assert_str_eq(row.type, same->type);
        ck_assert_str_eq(row.labels, same->labels);
        same->name[strlen("lastcall_")] = '\0'; /* a second row would not find it */
    }
    fclose(file);
    ck_assert_uint_gt(exported_count, 0);
    ck_assert_msg(documented == exported_count, "%zu of %zu metrics are documented", documented,
                  exported_count);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("metrics_documented");
    TCase *tests = tcase_create("metrics_documented");
    tcase_add_test(tests, every_metric_is_documented_with_its_type_and_labels_and_no_other_is);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
