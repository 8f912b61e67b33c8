"""The trial of an endpoint that comes back, over several hosts."""
import threading

from qcc import until


def one_trial(play, hosts, asks):
    """Requests at all hosts while the trial at `play` waits: no second one is begun. Returns when all are answered."""
    play.delay.clear()
    n, threads = play.n, []

    def tried():
        for q in hosts:
            t = threading.Thread(target=asks, args=(q,))
            t.start()
            threads.append(t)
        return play.n > n

    until(tried, "a trial", step=0.1)
    for _ in range(10):
        tried()
    assert play.n == n + 1, "one trial while it has not ended"
    play.delay.set()
    for t in threads:
        t.join()
