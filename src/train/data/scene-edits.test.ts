import { expect, test } from "vitest";
import { counterRandom } from "../../random/counter.ts";
import { editKinds, editScene } from "./scene-edits.ts";
import { describeScene } from "./scene-text.ts";
import { sampleScene } from "./scenes.ts";
import { EXTENT } from "./shapes.ts";

const edited = Array.from({ length: 600 }, (_, i) => {
  const scene = sampleScene(12, i);
  return { scene, ...editScene(scene, 96, counterRandom(12, "edit").fork(i)) };
});

test("every kind of edit occurs, and the same numbers give the same edit", () => {
  for (const kind of editKinds) expect(edited.filter((edit) => edit.kind === kind).length, kind).toBeGreaterThan(30);
  const again = editScene(edited[5]!.scene, 96, counterRandom(12, "edit").fork(5));
  expect(again.instruction).toBe(edited[5]!.instruction);
});

test("an edit changes what it says and nothing else", () => {
  for (const { kind, scene, after, instruction } of edited) {
    const [before, now] = [scene.objects.length, after.objects.length];
    expect(now - before, instruction).toBe({ recolour: 0, move: 0, add: 1, remove: -1 }[kind]);
    const kept = after.objects.filter((object) => scene.objects.includes(object));
    if (kind === "add") expect(kept).toHaveLength(before);
    if (kind === "remove") expect(kept).toHaveLength(before - 1);
    if (kind === "recolour") {
      const changed = after.objects.filter((object) => !scene.objects.includes(object));
      for (const { colour } of changed) expect(instruction).toContain(colour);
      expect(changed).toHaveLength(scene.kind === "pair" ? 1 : before);
    }
    if (kind === "move")
      expect([after.objects[0]!.colour, after.objects[0]!.shape]).toEqual([
        scene.objects[0]!.colour,
        scene.objects[0]!.shape,
      ]);
    expect(after.background).toEqual(scene.background);
    expect(describeScene(after)).toBeTruthy();
  }
});

test("what is added or moved lies inside the image and apart from the rest", () => {
  for (const { kind, scene, after } of edited.filter(({ kind }) => kind === "add" || kind === "move")) {
    const a = after.objects.find((object) => !scene.objects.includes(object))!;
    for (const place of [a.x, a.y]) {
      expect(place, kind).toBeGreaterThan(EXTENT * a.radius);
      expect(place, kind).toBeLessThan(96 - EXTENT * a.radius);
    }
    for (const b of after.objects.filter((object) => object !== a)) {
      expect(Math.hypot(a.x - b.x, a.y - b.y)).toBeGreaterThan(EXTENT * (a.radius + b.radius));
    }
  }
});
