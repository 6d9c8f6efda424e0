/*
 * Linked into sanitizer builds only: a report ends the program with 99, which is none of its own
 * exit statuses, so that no test can take a report for an answer.
 */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);
const char *__ubsan_default_options(void);

const char *__asan_default_options(void)
{
    return "exitcode=99:detect_stack_use_after_return=1:strict_string_checks=1";
}

/* Threads that CivetWeb does not give back in time are left behind on purpose: the exit status says
   so. */
const char *__tsan_default_options(void)
{
    return "exitcode=99:second_deadlock_stack=1:history_size=4:report_thread_leaks=0";
}

const char *__ubsan_default_options(void)
{
    return "exitcode=99:print_stacktrace=1";
}
