// Gradients as outputs of a parity graph, under the names that a golden folder has for them.

import type { Graph } from "../../src/tensor/graph.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { gradients } from "../../src/train/autodiff/gradients.ts";

/** Names d loss / d P "<prefix><P>" for each such name in `wanted`, P being a parameter of the graph under `root`. */
export function outputGradients(graph: Graph, loss: Tensor, wanted: Iterable<string>, prefix: string, root = ""): void {
  const names = [...wanted].filter((name) => name.startsWith(prefix));
  const parameters = names.map((name) => {
    const parameter = graph.parameters.get(root + name.slice(prefix.length));
    if (!parameter) throw new Error(`${name}: the model has no parameter ${root}${name.slice(prefix.length)}`);
    return parameter.tensor;
  });
  const found = gradients(loss, parameters);
  for (const [i, name] of names.entries()) {
    graph.output(name, found[i] ?? graph.scalar(0).expand(parameters[i]!.shape));
  }
}
