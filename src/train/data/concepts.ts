// What the emoji images show: a table of concepts that look different from each other, with short plain names.
// Left out on purpose: skin tones, flags, letters, clock faces, moon phases, arrows and other series of near-equal images.

/** One line of the table, parsed. */
export interface ConceptName {
  /** The label in emojibase-data, which gives the code point. */
  readonly label: string;
  /** What this project calls it, without an article; unique. */
  readonly name: string;
  /** The answer to "What is this?": the name with its article, or without one for plurals and materials. */
  readonly caption: string;
}

/** `label`, or `label = our name`; a final * marks what takes no article. */
const table = `
grinning face; face with tears of joy; winking face; smiling face with halo = face with halo;
smiling face with heart-eyes = face with heart eyes; face blowing a kiss = kissing face; face with tongue;
money-mouth face = money face; thinking face; zipper-mouth face = zipper face; neutral face; sleeping face;
face with medical mask = face with mask; face with head-bandage = face with bandage; nauseated face = sick face;
cowboy hat face = cowboy face; smiling face with sunglasses = face with sunglasses; nerd face;
face with open mouth = surprised face; crying face; loudly crying face = sobbing face;
face screaming in fear = screaming face; angry face; smiling face with horns = devil face; exploding head;
grimacing face; skull; pile of poo; clown face; ogre; ghost; alien; alien monster = purple monster; robot;
see-no-evil monkey = monkey covering its eyes; broken heart; red heart; yellow heart; green heart; blue heart;
purple heart; kiss mark; hundred points = hundred points*; collision = explosion; speech balloon = speech bubble;
thought balloon = thought bubble; eyes*; mouth; tongue; ear; footprints*; thumbs up; thumbs down; waving hand;
clapping hands*; raised fist; victory hand; flexed biceps = strong arm; Santa Claus*;

monkey; gorilla; dog face; dog; wolf; fox; cat face; cat; lion; tiger face; horse; unicorn; deer; cow; pig face;
pig nose; ewe = sheep; camel; elephant; rhinoceros; mouse face; hamster; rabbit face; chipmunk; bat; bear; koala;
panda; paw prints*; turkey; chicken; rooster; hatching chick; baby chick = chick; bird; penguin; dove; eagle; duck;
owl; frog; crocodile; turtle; lizard; snake; dragon; spouting whale = whale; dolphin; fish; tropical fish; blowfish; shark;
octopus; spiral shell = seashell; crab; shrimp; snail; butterfly; bug = caterpillar; ant; honeybee = bee;
lady beetle = ladybug; spider; spider web; scorpion; bouquet = bouquet of flowers; cherry blossom; rose; sunflower;
blossom = yellow flower; tulip; seedling; evergreen tree; deciduous tree = tree; palm tree; cactus; four leaf clover;
maple leaf; fallen leaf = brown leaves*; mushroom;

grapes*; melon; watermelon; tangerine; lemon; banana; pineapple; red apple; green apple; pear; peach; cherries*;
strawberry; kiwi fruit = kiwi; tomato; avocado; eggplant; potato; carrot; ear of corn; hot pepper = chili pepper;
cucumber; chestnut; bread*; croissant; baguette bread = baguette; pancakes*; cheese wedge = piece of cheese;
meat on bone = meat on a bone*; poultry leg = chicken leg; bacon*; hamburger; french fries*; pizza = slice of pizza;
hot dog; taco; egg; cooking = fried egg; green salad = salad; popcorn*; bento box = lunch box; rice ball;
cooked rice = bowl of rice; steaming bowl = bowl of noodles; spaghetti*; roasted sweet potato = sweet potato; sushi*;
fried shrimp; fish cake with swirl = fish cake; dango; soft ice cream = ice cream cone; shaved ice*; doughnut; cookie;
birthday cake; shortcake = slice of cake; chocolate bar; candy; lollipop; custard; honey pot; baby bottle;
glass of milk; hot beverage = cup of coffee; teacup without handle = cup of tea;
bottle with popping cork = bottle of champagne; wine glass = glass of wine; cocktail glass = cocktail; tropical drink;
beer mug = mug of beer; fork and knife with plate = plate with fork and knife; fork and knife; spoon; kitchen knife;
amphora;

globe showing Americas = globe; globe with meridians = blue globe; world map; mountain; volcano;
beach with umbrella = beach; desert; desert island; stadium; classical building = temple;
building construction = crane; derelict house; house; office building; hospital; school; factory; Japanese castle;
castle; wedding = wedding chapel; Tokyo tower = red tower; Statue of Liberty = statue; church; mosque;
shinto shrine = shrine gate; kaaba; fountain; tent; cityscape; sunrise; bridge at night; hot springs = hot spring;
carousel horse; ferris wheel; roller coaster; barber pole; circus tent; locomotive; high-speed train; train; bus;
ambulance; fire engine; police car; taxi; automobile = car; delivery truck; tractor; racing car; motorcycle;
motor scooter; bicycle; kick scooter; bus stop; railway track; oil drum; fuel pump; police car light = siren;
vertical traffic light = traffic light; stop sign; construction = barrier; anchor; sailboat; canoe; speedboat; ship;
airplane; seat; helicopter; mountain cableway = cable car; satellite; rocket; bellhop bell = desk bell;
hourglass done = hourglass; watch; alarm clock; stopwatch; mantelpiece clock; three o’clock = clock; full moon;
crescent moon; thermometer; sun; sun with face; star; shooting star; milky way; cloud; sun behind cloud;
cloud with rain = rain cloud; cloud with lightning = lightning cloud; tornado; wind face; cyclone; rainbow;
closed umbrella; umbrella; high voltage = lightning bolt; snowflake; snowman; comet; fire*; droplet = drop of water;
water wave = wave;

jack-o-lantern; Christmas tree; fireworks*; sparkles*; balloon; party popper; Japanese dolls*; carp streamer;
wind chime; ribbon = bow; wrapped gift = gift; ticket; trophy; 1st place medal = gold medal; soccer ball; baseball;
basketball; volleyball; american football = football; tennis = tennis ball; bowling = bowling pins*;
ice hockey = hockey stick; ping pong = ping pong paddle; badminton = badminton racket; boxing glove;
martial arts uniform = karate suit; goal net; flag in hole = golf flag; ice skate; fishing pole; running shirt; skis*;
pool 8 ball = billiard ball; crystal ball; video game = game controller; joystick; slot machine; game die = die;
spade suit = spade; diamond suit = diamond card; club suit = club; joker; mahjong red dragon = mahjong tile;
flower playing cards = flower card; performing arts = masks*; framed picture; artist palette = palette;

glasses*; sunglasses*; necktie; t-shirt; jeans*; dress; kimono; bikini; woman’s clothes = blouse; purse; handbag;
shopping bags*; backpack; man’s shoe = leather shoe; running shoe; high-heeled shoe; woman’s sandal = sandal;
woman’s boot = boot; crown; woman’s hat = sun hat; top hat; graduation cap; rescue worker’s helmet = rescue helmet;
prayer beads*; lipstick; ring; gem stone = gem; speaker high volume = speaker; megaphone; postal horn; bell;
musical note; microphone; headphone = headphones*; radio; saxophone; trumpet; guitar; musical keyboard = piano;
violin; drum; mobile phone; telephone; pager; battery; electric plug = plug; laptop; desktop computer = computer;
printer; keyboard; floppy disk; optical disk = compact disc; movie camera; film frames = film strip; clapper board;
television; camera; video camera; videocassette = cassette; magnifying glass tilted left = magnifying glass; candle;
light bulb; flashlight; red paper lantern = red lantern; closed book = red book; open book; green book; blue book;
orange book; books = pile of books; scroll; page facing up = page; newspaper; label = price tag; money bag;
dollar banknote = dollar bill; money with wings*; credit card; envelope; package = box;
closed mailbox with raised flag = mailbox; postbox; ballot box with ballot = ballot box; pencil; pen; paintbrush;
crayon; memo = note with pencil; briefcase; file folder = folder; calendar; spiral notepad = notepad;
chart increasing = rising chart; bar chart; clipboard; pushpin; paperclip; straight ruler = ruler; triangular ruler;
scissors*; file cabinet; wastebasket; locked = padlock; unlocked = open padlock; key; hammer; pick = pickaxe;
crossed swords*; bomb; bow and arrow; shield; wrench; nut and bolt; gear; balance scale = scale; link; chains*;
alembic; microscope; telescope; satellite antenna = antenna; syringe; pill; door; bed; couch and lamp; toilet; shower;
bathtub; shopping cart; cigarette; coffin; moai = stone head;

warning = warning sign; no entry = no entry sign; prohibited = prohibition sign; no smoking = no smoking sign;
biohazard = biohazard sign; children crossing = children crossing sign; atom symbol = atom; star of David; yin yang;
latin cross = cross; peace symbol; menorah; recycling symbol; trident emblem = trident; hollow red circle = red ring;
check mark button = check mark; cross mark;
`;

/** Words whose first letter and first sound differ. */
const ARTICLE_EXCEPTIONS: Readonly<Record<string, string>> = { unicorn: "a", urn: "an", hourglass: "an" };

/** The name with "a" or "an" before it. */
export function withArticle(name: string): string {
  const first = name.split(" ")[0]!;
  return `${ARTICLE_EXCEPTIONS[first] ?? (/^[aeiou]/i.test(name) ? "an" : "a")} ${name}`;
}

export const conceptNames: readonly ConceptName[] = table
  .split(";")
  .map((line) => line.trim())
  .filter(Boolean)
  .map((line) => {
    const takesNone = line.endsWith("*");
    const [label = "", name = label] = (takesNone ? line.slice(0, -1) : line).split(" = ");
    return { label, name, caption: takesNone ? name : withArticle(name) };
  });
