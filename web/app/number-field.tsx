// A number that may be left empty, which means that the model decides; its own value is shown then, where it is known.

interface Props {
  readonly label: string;
  readonly value: number | undefined;
  readonly fallback?: number | undefined;
  readonly min: number;
  readonly max?: number;
  readonly step: number | "any";
  readonly onValue: (value: number | undefined) => void;
}

export function NumberField({ label, value, fallback, min, max, step, onValue }: Props) {
  return (
    <label>
      {label}
      <input
        type="number"
        value={value ?? ""}
        placeholder={fallback === undefined ? "model's" : `${fallback}`}
        min={min}
        max={max}
        step={step}
        onChange={({ currentTarget: { value: text, valueAsNumber: read } }) => {
          if (text.trim() === "" || !Number.isFinite(read)) return onValue(undefined);
          onValue(Math.min(max ?? Number.MAX_SAFE_INTEGER, Math.max(min, step === 1 ? Math.round(read) : read)));
        }}
      />
    </label>
  );
}
