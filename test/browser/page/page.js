// The page: hands jobs to a worker and gives back what it answers.

let worker;
let next = 0;

globalThis.run = (job) => {
  worker ??= new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  const id = next++;
  return new Promise((resolve, reject) => {
    worker.addEventListener("error", (event) => reject(new Error(`the worker failed: ${event.message}`)));
    worker.addEventListener("message", ({ data }) => data.id === id && resolve(data));
    worker.postMessage({ id, job });
  });
};
