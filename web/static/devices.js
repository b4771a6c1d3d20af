/**
 * The camera and the microphone of this device.
 *
 * A camera that is switched off is let go of, so that its light goes out; a microphone that is muted stays
 * open, so that it is back within a word.
 */

const CONSTRAINTS = {
  audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
  video: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { max: 30 }, facingMode: "user" },
};

export class Devices {
  tracks = { audio: null, video: null };
  problems = { audio: null, video: null }; // names of the browser's errors
  #onChange;
  #off = new Set(); // kinds that the person switched off: nothing but the person switches them on again
  #opening = Promise.resolve();
  #wanted = new Set(); // kinds that are to be open, or opened: what comes for another one is let go of

  /** `onChange(kind, track)` follows every track that comes or goes. */
  constructor(onChange) {
    this.#onChange = onChange;
  }

  /** Open these kinds: together, so that the browser asks once, then one by one if that failed. */
  open(kinds) {
    for (const kind of kinds) this.#wanted.add(kind);
    this.#opening = this.#opening.then(() => this.#open(kinds)).catch(reportError);
    return this.#opening; // one question at a time: the next one may not be needed any more
  }

  async #open(kinds) {
    const missing = kinds.filter((kind) => this.tracks[kind] === null && this.#isWanted(kind));
    if (missing.length === 0 || (await this.#ask(missing))) return;
    if (missing.length > 1) for (const kind of missing) await this.#ask([kind]);
  }

  /** Whether this kind is being sent now. */
  active(kind) {
    return this.tracks[kind]?.enabled ?? false;
  }

  /** Switch the microphone ("audio") or the camera ("video") on or off. */
  async set(kind, on) {
    if (on) this.#off.delete(kind);
    else this.#off.add(kind);
    if (on) await this.open([kind]);
    else if (kind === "video") this.#drop(kind);
    if (this.tracks[kind]) this.tracks[kind].enabled = on;
  }

  /** Let go of all but these kinds, until they are opened again. */
  keep(kinds) {
    for (const kind of Object.keys(this.tracks)) {
      if (kinds.includes(kind)) continue;
      this.#wanted.delete(kind);
      this.#drop(kind);
    }
  }

  /** Let go of everything. */
  close() {
    this.keep([]);
  }

  async #ask(kinds) {
    try {
      // Without https there is no `mediaDevices` at all.
      if (!navigator.mediaDevices) throw new DOMException("not a secure page", "SecurityError");
      const wanted = Object.fromEntries(kinds.map((kind) => [kind, CONSTRAINTS[kind]]));
      const stream = await navigator.mediaDevices.getUserMedia(wanted);
      for (const track of stream.getTracks()) this.#isWanted(track.kind) ? this.#take(track) : track.stop();
      return true;
    } catch (error) {
      for (const kind of kinds) this.problems[kind] = error.name;
      return false;
    }
  }

  /** Much can change while the browser asks the person: a device that is not to be on any more stays off. */
  #isWanted(kind) {
    return this.#wanted.has(kind) && !this.#off.has(kind);
  }

  #take(track) {
    const { kind } = track;
    this.#drop(kind);
    this.tracks[kind] = track;
    this.problems[kind] = null;
    track.onended = () => {
      if (this.tracks[kind] !== track) return;
      this.problems[kind] = "NotFoundError"; // unplugged, or taken away in the browser's settings
      this.#drop(kind);
    };
    this.#onChange(kind, track);
  }

  #drop(kind) {
    const track = this.tracks[kind];
    if (track === null) return;
    this.tracks[kind] = null;
    track.stop();
    this.#onChange(kind, null);
  }
}

/** How loud a track is, again and again: `show(level)` from 0 to 1. The function returned stops it. */
export function meter(track, show) {
  const context = new AudioContext();
  const analyser = new AnalyserNode(context, { fftSize: 512 });
  context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
    // From -50 dB, a quiet room, to -10 dB, a loud voice.
    show(Math.min(1, Math.max(0, (10 * Math.log10(power + 1e-10) + 50) / 40)));
  }, 100);
  return () => {
    clearInterval(timer);
    context.close();
  };
}
