const main = document.getElementById("app");
const reply = await fetch("api/v1/status", { headers: { accept: "application/json" } });
main.textContent = JSON.stringify(await reply.json());
