// Counts events, and CPU from the first that is not warm-up; tells Python by lines of JSON on stdout.
export const given = JSON.parse(process.argv[2]);
const warm = Math.floor(given.count / 5); // a just-in-time compiler has its start for nothing
let seen = 0, began, cpu, over;
export const finished = new Promise((resolve) => (over = resolve));

export function count() {
    seen++;
    if (seen === warm) {
        began = process.hrtime.bigint();
        cpu = process.cpuUsage();
        console.log(JSON.stringify({ begun: true }));
    }
    if (seen === given.count) {
        const used = process.cpuUsage(cpu);
        const seconds = Number(process.hrtime.bigint() - began) / 1e9;
        const events = given.count - warm;
        over({ events, seconds, cpu_us_per_event: (used.user + used.system) / events, rss: process.memoryUsage().rss });
    }
}

export async function tell(more = {}) {
    console.log(JSON.stringify({ ...(await finished), ...more }));
    process.exit(0);
}
