"""Names of columns that are known without a setting, from well-known sets of ratings.

They are compared without case and punctuation. Each column has tiers of names: a name counts before
all names of later tiers, as an id counts before the name of the same thing.
"""

Tiers = tuple[tuple[str, ...], ...]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


USERS: Tiers = (
    _words("""
        userid customerid memberid reviewerid uid custid clientid accountid profileid personid
        raterid buyerid shopperid visitorid subscriberid playerid readerid listenerid viewerid
        studentid learnerid guestid patronid criticid steamid gplususerid usermd5 userhash userkey
        useruuid userguid customerkey customerno customernumber"""),
    _words("""
        user customer member reviewer client rater buyer shopper visitor subscriber reader listener
        viewer player critic username customername reviewername membername profilename
        reviewprofilename tastername nickname login email sessionid deviceid householdid
        householdkey household"""),
)
_ITEM_LABELS = _words("""
    item movie product film book artist album track song game anime manga show series video recipe
    restaurant hotel venue place business joke beer wine article course podcast app gametitle
    locationid location""")
ITEMS: Tiers = (
    _words("""
        itemid movieid productid bookid iid prodid filmid titleid artistid albumid trackid songid
        gameid appid animeid mangaid showid seriesid episodeid videoid podcastid recipeid
        restaurantid hotelid venueid placeid poiid gplusplaceid gmapid businessid listingid jokeid
        beerid beerbeerid wineid articleid clickarticleid newsid storyid postid contentid documentid
        docid courseid jobid offerid"""),
    _words("""
        asin parentasin isbn isbn10 isbn13 sku skuid ean upc gtin stockcode itemcode productcode
        productkey productsku itemno itemnumber articleno articlenumber productno productnumber
        imdbid tmdbid"""),
    _ITEM_LABELS,
)
RATINGS: Tiers = (
    _words("""
        rating stars score overall ratings star starrating overallrating
        ratingvalue ratingscore ratinggiven userrating userscore itemrating movierating filmrating
        bookrating productrating gamerating animerating songrating reviewrating reviewscore
        reviewstars reviewoverall customerrating myrating myscore yourrating"""),
    _words("grade mark points"),
)
COUNTS: Tiers = (
    _words("""
        count counts quantity qty plays playcount listens listencount views viewcount clicks
        clickcount purchases purchasecount visits visitcount checkins timesplayed numplays
        interactions"""),
    _words("weight hours hoursplayed playtime playtimeforever value n"),
    # Whether it happened: 1 or 0, true or false.
    _words("""
        like liked isliked click clicked isclick purchase purchased ispurchased bought view viewed
        watched played listened visited favorite favorited favourite"""),
)
TIMES: Tiers = (
    _words("""
        timestamp ts unixtime unixtimestamp unixreviewtime epoch ratedat reviewedat ratingtimestamp
        ratingtime ratingdate daterated reviewtimestamp eventtimestamp clicktimestamp"""),
    _words("""
        time datetime date createdat created createdtime createddate creationdate creationtime
        datecreated reviewtime reviewdate reviewcreationdate datereviews eventtime eventdate
        purchasedate purchasedat orderdate orderedat invoicedate transactiondate transactiondt
        transactiontime visitedat viewedat playedat listenedat watchedat clickedat checkintime
        dateadded dateread submitted submittedat mylastupdated tdat"""),
)
OPERATIONS: Tiers = (_words("op operation optype cdcop cdcoperation"),)
TITLES: Tiers = (
    _words("""
        title movietitle itemtitle booktitle producttitle filmtitle songtitle tracktitle
        videotitle coursetitle recipetitle"""),
    _words("""
        name itemname productname moviename bookname artistname albumname trackname songname
        gamename appname showname venuename placename businessname restaurantname hotelname beername
        recipename animename coursename fulltitle originaltitle description"""),
    _ITEM_LABELS,
)
GROUPS: Tiers = (
    _words("genres genre groups group categories category"),
    _words("""
        itemcategory itemcategories productcategory productcategories maincategory maincat
        categoryname genrename bookgenre bookgenres producttype productgroup productgroupname
        department subject subjects shelf shelves cuisine cuisines style styles type types tags"""),
)

ID_COLUMNS = ("user_id", "item_id")
# For each column of ours its known names. The first is what messages show.
RATING_COLUMNS = {
    "user_id": USERS,
    "item_id": ITEMS,
    "rating": RATINGS,
    "count": COUNTS,
    "timestamp": TIMES,
    "op": OPERATIONS,
}
CATALOGUE_COLUMNS = {"item_id": (*ITEMS, ("id",)), "title": TITLES, "groups": GROUPS}
