"""A TCP proxy before an engine, in the loop of its user: it delays, stalls, cuts and holds back. What a host sent on a
connection that it has given up still comes to the engine, late."""
import asyncio
import contextlib


class Proxy:
    def __init__(self, target):
        """target: (host, port) of the engine."""
        self.target = target
        self.server = None
        self.port = 0
        self.delay = 0.0  # s, for each piece, in both directions
        self.gates = {"up": asyncio.Event(), "down": asyncio.Event()}
        for gate in self.gates.values():
            gate.set()
        self.refusing = False
        self.writers = set()
        self.tasks = set()

    async def start(self):
        self.server = await asyncio.start_server(self.take, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def close(self):
        self.server.close()
        self.cut()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def stall(self, way, on):
        """way: "up" to the engine, "down" from it."""
        if on:
            self.gates[way].clear()
        else:
            self.gates[way].set()

    def cut(self):
        """Breaks all connections."""
        for w in list(self.writers):
            w.transport.abort()

    async def take(self, reader, writer):
        self.tasks.add(asyncio.current_task())
        self.writers.add(writer)
        there = None
        try:
            if self.refusing:
                return
            engine, there = await asyncio.open_connection(*self.target)
            self.writers.add(there)
            await asyncio.gather(self.pump(reader, there, "up"), self.pump(engine, writer, "down"))
        except OSError:
            pass
        finally:
            for w in (writer, there):
                self.writers.discard(w)
                if w:
                    w.close()
            self.tasks.discard(asyncio.current_task())

    async def pump(self, reader, writer, way):
        with contextlib.suppress(OSError):
            while True:
                data = await reader.read(1 << 16)
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self.gates[way].wait()
                if not data:
                    break
                writer.write(data)
                await writer.drain()
        if way == "up":
            writer.close()  # the engine sees the end of it, after all that was sent
        else:
            writer.transport.abort()
